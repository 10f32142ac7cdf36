"""How records become pages: values, rows and columns, captions and plots, and the files that are written."""
