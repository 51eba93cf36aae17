//! Tests ingest as a whole; the parts have theirs beside them.

mod feedback;

mod scene;

mod stages;
