"""What people read: tables, pictures, the page, model cards."""
