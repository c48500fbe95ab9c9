"""What only the user's own account can tell: whether the parts are there, and how its functions reach each other."""
