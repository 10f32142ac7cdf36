"""How records become pages: values, rows and columns, captions, and the files that are written."""
