//! A command that counts the words of its standard input: an ordinary program, without the SDK.
//!
//! It prints one line per word, the most frequent first: the count, a tab, the word in lower case.
//! sandpool runs such a command once per item, with the item as its standard input:
//!
//! ```text
//! cargo build --release --target wasm32-wasip1 --package guest-wordcount
//! ls books/*.txt | sandpool imap target/wasm32-wasip1/release/guest-wordcount.wasm --input files
//! ```
//!
//! The target wasm32-wasip2 works as well. Natively it is a filter as any other.

use std::collections::HashMap;
use std::io::{self, Read as _, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match count_input() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wordcount: {error}");
            ExitCode::FAILURE
        }
    }
}

fn count_input() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    // Bytes that are no UTF-8 separate words; they do not end the program.
    let text = String::from_utf8_lossy(&text).to_lowercase();
    let mut output = io::BufWriter::new(io::stdout().lock());
    for (word, count) in count(&text) {
        writeln!(output, "{count}\t{word}")?;
    }
    output.flush()
}

/// The words with their counts, the most frequent first, and in alphabetical order where equal.
fn count(text: &str) -> Vec<(&str, u64)> {
    let mut counts = HashMap::new();
    let inside = |character: char| character.is_alphanumeric() || character == '\'';
    for word in text.split(|character| !inside(character)) {
        let word = word.trim_matches('\'');
        if !word.is_empty() {
            *counts.entry(word).or_insert(0) += 1;
        }
    }
    let mut counts = counts.into_iter().collect::<Vec<_>>();
    counts.sort_unstable_by(|(left, more), (right, less)| less.cmp(more).then(left.cmp(right)));
    counts
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn frequent_words_come_first_then_the_alphabet() {
        assert_eq!(count("b a 'b' don't c"), [("b", 2), ("a", 1), ("c", 1), ("don't", 1)]);
    }

    #[test]
    fn a_text_without_words_has_no_counts() {
        assert_eq!(count("— '' \u{FFFD}\n"), []);
    }
}
