"""How channels go: groups, criteria, selection, surgery, recovery."""
