from scripts.console import output_console


def test_tables_have_their_own_width_where_no_terminal_has_one(capsys):
    console = output_console(31)
    assert console.width == 31
    console.print("[brackets stay]" * 2, markup=False)
    assert capsys.readouterr().out == "[brackets stay][brackets stay]\n"
