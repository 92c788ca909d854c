"""The rows of the table, by family: each module has `ROWS`."""
