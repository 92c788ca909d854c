"""Timing steps of rules beside other libraries and beside the speed of memory."""
