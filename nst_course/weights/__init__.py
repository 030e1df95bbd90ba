"""The numbers of a network, whatever file they come from."""
