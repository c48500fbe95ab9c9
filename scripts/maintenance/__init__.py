"""What `make audit`, `make lock`, `make reference` and `make sbom` do, which are no commands of a user."""
