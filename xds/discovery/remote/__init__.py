"""What commands do in members and in the hub, in the user's name: join, leave, look whether everything is in place.

The control plane itself needs none of it: it only reads what a join has left.
"""
