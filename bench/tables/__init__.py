"""Every table: its cells, how they are measured, and its page. A family of tables is a package."""
