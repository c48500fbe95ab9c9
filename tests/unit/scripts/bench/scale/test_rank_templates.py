from scripts.bench.scale.rank_templates import RankTemplates


def test_two_processes_have_the_same_tables():
    one, other = RankTemplates(30), RankTemplates(30)
    assert one.table(3).content == other.table(3).content == one.table(11).content
    assert one.table(3).content != one.table(4).content
    assert one.table(3).shape.rows == 30
