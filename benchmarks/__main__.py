"""Runs all benchmarks: `make bench`. Ratios against a baseline of the same run count; machines differ."""

import asyncio
import sys

import uvloop

from benchmarks import access, face, guard, ingestion, jobs, retrieval, search_latency, sign_in, streaming

if __name__ == "__main__":
    guard.main()
    asyncio.run(jobs.main())
    asyncio.run(ingestion.main())
    asyncio.run(search_latency.main())
    asyncio.run(sign_in.main())
    asyncio.run(access.main())
    uvloop.run(face.main())
    asyncio.run(streaming.main())
    if sys.argv[1:]:
        retrieval.main(sys.argv[1:])
    else:
        print("Retrieval quality: python -m benchmarks.retrieval DIR... (with corpus.jsonl, queries.jsonl, qrels.tsv)")
