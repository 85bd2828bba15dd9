"""Numbers to a page: tables of short texts, notes, references, before they are in any format."""
