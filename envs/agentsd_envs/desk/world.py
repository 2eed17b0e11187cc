"""The state of one desk: notes, contacts, a calendar, an outbox, and what can be done with them.

Knows nothing of tools, schemas, tasks or models. Refusals are ``DeskError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DAYS = {"Monday": "mon", "Tuesday": "tue", "Wednesday": "wed", "Thursday": "thu", "Friday": "fri"}
"""How people write a day, and how the calendar does."""

FIRST_HOUR, LAST_HOUR = 8, 17


class DeskError(Exception):
    """The desk says no, in words meant for the policy."""


@dataclass(slots=True)
class World:
    """Everything on one desk. Mutable: it is the state of one episode."""

    notes: dict[str, str]
    contacts: dict[str, str]
    """Person to contact id."""
    events: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    outbox: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Sent messages, as (contact id, text)."""

    def list_notes(self) -> str:
        """The names of all notes, in order."""
        return ", ".join(sorted(self.notes)) or "no notes"

    def read_note(self, name: str) -> str:
        """The text of a note."""
        if name not in self.notes:
            raise DeskError(f"no note {name}")
        return self.notes[name]

    def write_note(self, name: str, text: str) -> str:
        """Create a note or replace its text."""
        self.notes[name] = text
        return "saved"

    def find_contact(self, person: str) -> str:
        """The contact id of a person."""
        if person not in self.contacts:
            raise DeskError(f"nobody called {person}")
        return self.contacts[person]

    def send_message(self, to: str, text: str) -> str:
        """Send a text to a contact id."""
        if to not in self.contacts.values():
            raise DeskError(f"no contact {to}")
        self.outbox.append((to, text))
        return "sent"

    def list_events(self, day: str) -> str:
        """The events of a day, by hour."""
        events = sorted((hour, title) for (on, hour), title in self.events.items() if on == day)
        return "; ".join(f"{hour} *{title}*" for hour, title in events) or "no events"

    def add_event(self, day: str, hour: int, title: str) -> str:
        """Put an event in a free hour of the calendar."""
        if (day, hour) in self.events:
            raise DeskError(f"{day} {hour} is taken")
        self.events[day, hour] = title
        return "added"

    def add(self, a: int, b: int) -> str:
        """The sum of two integers."""
        return str(a + b)

    def state(self) -> dict[str, object]:
        """What tasks are graded on: everything a tool can change."""
        events = sorted([day, hour, title] for (day, hour), title in self.events.items())
        return {
            "notes": dict(sorted(self.notes.items())),
            "events": events,
            "outbox": [list(message) for message in self.outbox],
        }


def world_from(data: Mapping[str, object]) -> World:
    """The world that a task starts from. ``data`` is ``Task.data["world"]``, plain JSON."""
    notes, contacts, events = data["notes"], data["contacts"], data["events"]
    assert isinstance(notes, Mapping)
    assert isinstance(contacts, Mapping)
    assert isinstance(events, list | tuple)
    return World(
        notes=dict(notes),
        contacts=dict(contacts),
        events={(day, hour): title for day, hour, title in events},
    )
