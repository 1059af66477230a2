"""The report, in HTML and Markdown: `build` makes all of its files."""
