"""The stock gunicorn that the corpora are sent to."""

from __future__ import annotations

import sys

PATIENT_GUNICORN = (sys.executable, "-m", "gunicorn", "--keep-alive", "60")
"""Its own ``keepalive`` of 2 s ends every connection, also one that we were to end and did not: here it ends none
before a case is judged."""
