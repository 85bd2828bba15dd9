"""A page to Markdown, LaTeX or HTML."""
