"""Rules on streams for tests."""

from grid.app import Zone
from grid.model import Avu
from grid.namespace import MetadataOperation, Subject

VISIT = "/tempZone/home/rods/prop1/visit7"
PATH = f"{VISIT}/scan1.nxs"
HEAD = """
policy beamline.frames version 1 { owner "staff" }
location raw = "/tempZone/home/rods/{proposal}/{visit}/{scan}.nxs"
"""
POLICY = (
    HEAD
    + """
rule "hits are looked for while frames arrive" id look
  during frame arrive at raw
  when stream.detector = "eiger" {
    do run_kernel(stream, trusted_kernel("peaks", "2.0"), params_of(at.visit)) giving r
    set frame.hits to r.peaks
    if r.peaks < metadata "veto_threshold" of visit default 1 {
      emit veto(frame: frame.number, reason: "few peaks")
    }
}
rule "vetoed frames are dropped only when the team agreed" id drop
  before frame store at raw
  when frame.vetoed
  when metadata "veto_consent" of visit default false {
    require stream.kept_fraction > 1 % else "a veto would drop nearly everything" code VETO_GUARD
    refuse "dropped by a veto" code FRAME_VETOED
}
rule "the beamline is told" id told
  during stream progress at raw
  when stream.frames > 5 {
    emit instrument_feedback(channel: "hits", value: stream.hit_rate)
}
rule "the end is noted" id ended
  after stream end at raw {
    set metadata "stream_frames" of object to stream.frames
}
"""
)


def load(zone: Zone, text: str) -> None:
    """Put a policy in force."""
    (zone.folder / "p.policy").write_text(text)
    zone.policy.load_file(zone.folder, "p.policy")
    zone.policy.forget()


def judged(zone: Zone, rods, text: str = POLICY) -> None:
    """A visit whose frames a policy looks at."""
    load(zone, text)
    for path in (VISIT.rpartition("/")[0], VISIT):
        zone.namespace.collections.create(rods, path)


def say(zone: Zone, rods, **values: str) -> None:
    """Metadata of the visit; two underlines stand for a dot."""
    operations = [
        MetadataOperation("set", Avu(name.replace("__", "."), value, "")) for name, value in values.items()
    ]
    zone.namespace.metadata.apply(rods, Subject("collection", VISIT), operations)


def metadata(zone: Zone, rods, path: str) -> dict[str, str]:
    return {one.attribute: one.value for one in zone.namespace.metadata.of(rods, Subject("object", path))}
