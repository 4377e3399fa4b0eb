"""Reports for people: tables, pictures, the page, model cards."""
