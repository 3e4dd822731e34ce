"""The kinds of changes that a storm is made of. Each changes the world and says how, or "" if there was nothing to change."""

from storm_world import GROUPS, INLINE, RDS, TCP, Listener, Service, Wing

from xds.wire import CLUSTER, ENDPOINT, LISTENER, ROUTE

GUESTS = 8
"""Services that come and go, at most; as many listeners do."""


def move_cluster(storm, wing):
    """A new cluster with new endpoints takes over, the old ones go, all at once."""
    service = storm.random.choice(wing.services)
    service.generation += 1
    service.claim_generation = service.generation
    return f"move {service.name} to {service.cluster} with endpoints of its own"


def rename_cluster(storm, wing):
    service = storm.random.choice(wing.services)
    service.generation += 1
    return f"rename the cluster of {service.name} to {service.cluster}, endpoints stay {service.claim}"


def rename_claim(storm, wing):
    service = storm.random.choice(wing.services)
    service.claim_generation += 1
    return f"rename the endpoints of {service.cluster} to {service.claim}"


def return_cluster(storm, wing):
    """What has just been removed comes back."""
    service = storm.random.choice(wing.services)
    if not service.generation:
        return ""
    service.generation -= 1
    return f"rename the cluster of {service.name} back to {service.cluster}"


def rename_routes(storm, wing, listener=None):
    listener = listener or wing.brief[0]
    listener.routes_generation += 1
    storm.mark(listener)
    return f"rename the routes of {listener.name} to {listener.route_config}"


def move_everything(storm, wing):
    for service in wing.services:
        service.generation += 1
        service.claim_generation = service.generation
    for listener in wing.brief:
        listener.revision += 1
    return f"{rename_routes(storm, wing)}, and move every cluster and listener beside it"


def rename_listener(storm, wing):
    """With its routes; the port stays, so the old one must go in the very message that brings the new one."""
    return _rename(storm, storm.random.choice(wing.brief))


def _rename(storm, listener):
    before, listeners = listener.name, storm.world.listeners
    del listeners[before]
    listener.name = storm.new_name(before.rstrip("0123456789"))
    listeners[listener.name] = listener
    storm.mark(listener)
    return f"{before} is renamed to {listener.name}"


CLUSTER_MOVES = (move_cluster, move_cluster, rename_cluster, rename_claim, return_cluster)
MOVES = (*CLUSTER_MOVES, rename_routes, rename_listener, move_everything)


def touch_cluster(storm, wing):
    """The cluster warms again, its endpoints unchanged."""
    service = storm.random.choice(wing.services)
    if not storm.is_whole(service):
        return ""
    storm.mark(service)
    service.connect_timeout_ms = storm.random.randint(500, 2000)
    return f"connect_timeout of {service.cluster}: {service.connect_timeout_ms} ms"


def change_endpoints(storm, wing):
    service = storm.random.choice(wing.services)
    if not storm.is_whole(service):
        return ""
    service.groups = tuple(sorted(storm.random.sample(GROUPS, storm.random.randint(1, len(GROUPS)))))
    return f"endpoints of {service.claim}: {' '.join(service.groups)}"


def touch_both(storm, wing):
    service = storm.random.choice(wing.services)
    one = Wing([service])
    return storm.is_whole(service) and f"{touch_cluster(storm, one)} and {change_endpoints(storm, one)}"


def change_routes(storm, wing):
    listener = storm.random.choice((wing.kept, wing.brief[0]))
    listener.routes_revision += 1
    return f"revision {listener.routes_revision} of {listener.route_config}"


def change_listener(storm, wing):
    listener = storm.random.choice(wing.listeners)
    listener.revision += 1
    return f"revision {listener.revision} of {listener.name}"


def rename_kept(storm, wing):
    """With routes and all, or its routes alone, while the clusters of its clients rest."""
    if wing is not storm.resting or not storm.is_whole(wing.kept):
        return ""
    return rename_routes(storm, wing, wing.kept) if storm.random.random() < 0.5 else _rename(storm, wing.kept)


TOUCHES = (
    *(touch_cluster, touch_cluster, change_endpoints, change_endpoints, touch_both),
    *(change_routes, change_listener, rename_kept),
)


def spoil_cluster(storm, wing):
    service = storm.random.choice([*wing.services, *storm.guests])
    return storm.spoil(service, "cluster_fault", CLUSTER)


def spoil_endpoints(storm, wing):
    service = storm.random.choice([*wing.services, *storm.guests])
    return storm.spoil(service, "endpoints_fault", ENDPOINT)


def spoil_routes(storm, wing):
    return storm.spoil(storm.random.choice((wing.kept, wing.brief[0])), "routes_fault", ROUTE)


def spoil_listener(storm, wing):
    return storm.spoil(storm.random.choice([*wing.listeners, *storm.guest_listeners]), "fault", LISTENER)


def mend_one(storm, wing):
    return storm.mend(storm.random.randrange(len(storm.spoilt))) if storm.spoilt else ""


SPOILS = (spoil_cluster, spoil_endpoints, spoil_routes, spoil_listener, mend_one, mend_one)


def guest_comes(storm, wing):
    if len(storm.guests) >= GUESTS:
        return guest_goes(storm, wing)
    guest = Service(storm.new_name("guest"), storm.random.randint(1, 6))
    storm.guests.append(guest)
    storm.world.services[guest.name] = guest
    host = storm.random.choice([wing.kept, wing.brief[0], *storm.guest_listeners])
    if host.kind != TCP:
        host.services.append(guest)
    return f"{guest.name} comes, to {host.name}"


def guest_goes(storm, wing):
    if not storm.guests:
        return ""
    guest = storm.guests.pop(storm.random.randrange(len(storm.guests)))
    del storm.world.services[guest.name]
    storm.forget(guest)
    for listener in tuple(storm.world.listeners.values()):
        if guest in listener.services:
            listener.services.remove(guest)
            if not listener.services:
                _close(storm, listener)
    return f"{guest.name} goes"


def guest_moves(storm, wing):
    if not storm.guests:
        return ""
    return storm.random.choice(CLUSTER_MOVES)(storm, Wing(storm.guests))


def listener_opens(storm, wing):
    if not storm.guests or len(storm.guest_listeners) >= GUESTS:
        return listener_closes(storm, wing)
    kind = storm.random.choice((RDS, INLINE, TCP))
    listener = Listener(
        storm.new_name(f"visit-{kind}-"), storm.port_of(), kind, [storm.random.choice(storm.guests)], validated=False
    )
    storm.guest_listeners.append(listener)
    storm.world.listeners[listener.name] = listener
    return f"{listener.name} opens"


def listener_closes(storm, wing):
    if not storm.guest_listeners:
        return ""
    listener = storm.random.choice(storm.guest_listeners)
    _close(storm, listener)
    return f"{listener.name} closes"


def listener_renamed(storm, wing):
    """With its routes, and to another port."""
    if not storm.guest_listeners:
        return ""
    listener = storm.random.choice(storm.guest_listeners)
    listener.port = storm.port_of()
    return _rename(storm, listener)


def listener_moves(storm, wing):
    if not storm.guest_listeners:
        return ""
    listener = storm.random.choice(storm.guest_listeners)
    listener.port = storm.port_of()
    return f"{listener.name} moves to another port"


def _close(storm, listener):
    storm.guest_listeners.remove(listener)
    del storm.world.listeners[listener.name]
    storm.forget(listener)


VISITS = (
    *(guest_comes, guest_comes, guest_goes, guest_moves, guest_moves),
    *(listener_opens, listener_opens, listener_closes, listener_renamed, listener_moves),
)

KINDS = {"moves": MOVES, "touches": TOUCHES, "spoils": SPOILS, "visits": VISITS}
