"""What went wrong once, here or elsewhere, and must not again."""
