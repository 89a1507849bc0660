"""The menus, as data: one module a family of menus. How a line is read is told in ``schema.py``."""
