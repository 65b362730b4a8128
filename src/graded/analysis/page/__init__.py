"""The page: one self-contained HTML file that opens offline, prints, and runs no script but its own."""
