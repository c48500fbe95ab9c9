"""What a run will take: its phases from one that was measured, and what AWS adds."""
