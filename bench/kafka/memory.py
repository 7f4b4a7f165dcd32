"""How much memory a produce and a consume take as the number of records grows; prints the last against the first.

Not in a transaction, as brokers end one after 15 minutes, which ten million records take on a slow machine.

python bench/kafka/memory.py [RECORDS ...]      default: 100000 1000000 10000000
"""

from __future__ import annotations

import subprocess
import sys

STEP = """
import resource, sys, uuid
from bigdata import settings
from bigdata.kafka.config import KafkaConfig
from bigdata.kafka.consume import consume
from bigdata.kafka.logs import quiet
from bigdata.kafka.produce import produce
from bigdata.kafka.records import Record
from bigdata.kafka.topics import ensure_topic
from bigdata.local.stack import Stack

quiet()
count = int(sys.argv[1])
(kafka,) = Stack(settings.load()).up(["kafka"])
config, topic = KafkaConfig(kafka.url), f"bench.{uuid.uuid4().hex[:8]}"
ensure_topic(config, topic, 3, configs={"retention.ms": 7200000, "segment.bytes": 104857600})
records = (Record(str(number).encode(), b"x" * 100) for number in range(count))
assert produce(config, topic, records, "d").sent == count
sent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert consume(config, topic, f"{topic}.group", lambda record: None).count == count
print(sent // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or [100_000, 1_000_000, 10_000_000]
    found = {}
    for count in counts:
        done = subprocess.run([sys.executable, "-c", STEP, str(count)], capture_output=True, text=True, check=True)
        found[count] = [int(text) for text in done.stdout.split()[-2:]]
        print(f"{count:>10} records: {found[count][0]} MiB after producing, {found[count][1]} MiB after consuming")
    print(f"ratio {found[counts[-1]][1] / found[counts[0]][1]:.2f} (aim 1.0)")


if __name__ == "__main__":
    main()
