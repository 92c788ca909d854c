"""The intermediate representations and their meaning. Imports nothing else of this package."""
