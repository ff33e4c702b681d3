"""The shell of the site: home, search, navigation."""
