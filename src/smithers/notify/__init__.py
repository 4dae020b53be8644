"""Notices: what a run has to say to people who do not watch it, brought to them by the ways they configured.

    a frame ──► outbox ──► Delivery ──► command, webhook, desktop
    one commit   rows      claims one     `Way`, one a file
                           at a time

The outbox is a table of the store (`smithers.store.notice`). Nothing here imports the engine or pydantic: a
process that drives no run delivers with `delivery.deliver_due`. Where nothing is configured only `setting` is
imported.
"""
