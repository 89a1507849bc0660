"""The console language on one router: a script is bound to menus and commands, and run."""
