"""Who may see the page: on this machine everybody, on others those who log in."""
