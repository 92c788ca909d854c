"""What is promised of arrays, whatever their layout and whatever else lies in their memory."""
