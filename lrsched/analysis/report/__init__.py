"""Reports: what was found, as a page, as Markdown, as LaTeX and as CSV."""
