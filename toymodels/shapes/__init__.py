"""Configurations of vectors, their measures and tight bounds: the ground floor that analysis and theory share."""
