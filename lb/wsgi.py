"""``lb.wsgi:app``: the balancer as a WSGI application. Importing it starts nothing and cannot fail."""

from lb.server.publication import Publication
from lb.server.wsgi import Application

app = Application(Publication())
