//! What commands print: a table for people, or JSON lines for scripts.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

/// A row that can be shown either way. Its JSON members are the stable interface; the table may change.
pub trait Row: Serialize {
    /// The table's head; columns whose name begins with `#` hold numbers and are aligned right.
    const HEAD: &'static [&'static str];
    /// One cell for each column.
    fn cells(&self) -> Vec<String>;
}

/// Prints rows as a table, or as JSON lines. A reader that went away (`| head`) is no failure.
pub fn print<R: Row>(rows: &[R], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    readers_may_leave(if json { json_lines(rows, &mut out) } else { writeln!(out, "{}", table(rows)) })
}

/// Prints text as it is.
pub fn print_text(text: &str) -> io::Result<()> {
    readers_may_leave(writeln!(io::stdout().lock(), "{text}"))
}

fn readers_may_leave(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn json_lines<R: Row>(rows: &[R], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, row)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The rows as a table of text.
pub fn table<R: Row>(rows: &[R]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(R::HEAD.iter().map(|name| name.trim_start_matches('#')));
    for row in rows {
        table.add_row(row.cells().into_iter().zip(R::HEAD).map(|(text, head)| {
            let alignment = if head.starts_with('#') { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text).set_alignment(alignment)
        }));
    }
    table
}

/// A count with thin groups of three, as people read it: `1 234 567`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three() {
        for (count, expected) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(count), expected);
        }
    }
}
