"""The configuration of one router: the tree of menus as data, tables of items, and what each property accepts."""
