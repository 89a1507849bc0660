"""What is in the menus of one router: which items there are, who may do what, and how they are shown, changed, exported."""
