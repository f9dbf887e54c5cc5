"""One file a family of ailments; each check is a function from the evidence to findings."""
