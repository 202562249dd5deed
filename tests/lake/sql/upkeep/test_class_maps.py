from lake_rows import filled

from lake.query import answer


def test_each_class_map_is_one_row():
    frames = {"class_maps": filled("class_maps", "class_map_id class_index", ("b", 0), ("a", 0), ("a", 1))}
    assert answer(None, "upkeep/class_maps", frames=frames)["class_map_id"].to_pylist() == ["a", "b"]
