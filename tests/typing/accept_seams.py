"""What fits the four seams."""

from pathlib import Path

from smithers.process import ProcessSpawner
from smithers.seams import Clock, Random, Spawner, Store, SystemClock
from smithers.store import open_store
from smithers.store.memory import MemoryStore
from smithers.testing import FakeClock

clock: Clock = SystemClock()
fake: Clock = FakeClock()
file: Store = open_store(Path("smithers.db"), clock=clock)
memory: Store = MemoryStore(fake)
spawner: Spawner = ProcessSpawner()
random: Random = Random(7)
