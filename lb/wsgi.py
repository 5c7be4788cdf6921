"""``lb.wsgi:app``: the balancer as a WSGI application. Importing it starts nothing and cannot fail."""

from lb.server.wsgi import Application, published_snapshot

app = Application(published_snapshot)
