"""The table of streams of detector frames."""

from sqlalchemy import BigInteger, Column, Double, Index, Table

from grid.catalog.tables import id_column, metadata, text_column

streams = Table(
    "streams",  # streams that were opened, and how they stand
    metadata,
    id_column("id", primary_key=True),
    text_column("path", None),  # of the file that joins the frames
    text_column("detector", None),
    text_column("scan"),  # of the file that joins several detectors; empty for one alone
    text_column("format", None),  # dectris, beamgrid
    text_column("source"),  # the detector's address; empty where it comes to us
    text_column("resource", None),
    text_column("reservation"),
    text_column("token", None),
    text_column("user_name", None),
    text_column("user_zone", None),
    text_column("settings", "{}"),  # JSON
    text_column("state", None),  # waiting, open, receiving, closing, done, failed
    text_column("reason"),
    text_column("figures", "{}"),  # JSON, as its gateway last said
    text_column("files", "[]"),  # JSON: the data files that are closed and safe
    text_column("result", "{}"),  # JSON
    Column("stop", BigInteger, nullable=False, server_default="0"),
    Column("lease_id", BigInteger),
    Column("attempts", BigInteger, nullable=False, server_default="0"),
    Column("asked_at", Double, nullable=False),
    Column("began_at", Double, nullable=False, server_default="0"),
    Column("ended_at", Double, nullable=False, server_default="0"),
    Index("ix_streams_state", "state"),
    Index("ix_streams_path", "path"),
    Index("ix_streams_scan", "scan"),
)
