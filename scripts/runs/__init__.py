"""Runs from outside: where they take place, how they are started, followed and brought home. AWS and local alike."""
