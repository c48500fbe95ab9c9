"""What runs cost: where their times come from, and the tables that show it."""
