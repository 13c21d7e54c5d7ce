//! A task module that turns Markdown into HTML.
//!
//! Markdown from strangers is a good reason for a sandbox: a parser that loops or overflows takes
//! one item with it. The HTML is not cleaned: raw HTML in the input is raw HTML in the output.
//!
//! ```text
//! cargo build --release --target wasm32-wasip2 --package guest-markdown
//! ls docs/*.md | sandpool imap target/wasm32-wasip2/release/guest_markdown.wasm --input files
//! echo '"# Hello, *pool*"' | sandpool imap target/wasm32-wasip2/release/guest_markdown.wasm
//! ```

use pulldown_cmark::{Options, Parser, html};
use sandpool_guest::task;

/// Renders one document, with tables, footnotes, task lists and strike-through.
#[task]
fn render(markdown: String) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    // Mark-up adds about half again to ordinary text.
    let mut page = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut page, Parser::new_ext(&markdown, options));
    page
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn tables_and_emphasis_are_rendered() {
        assert_eq!(render("# Hello, *pool*".to_owned()), "<h1>Hello, <em>pool</em></h1>\n");
        assert!(render("|a|b|\n|-|-|\n|1|2|".to_owned()).contains("<td>2</td>"));
    }

    #[test]
    fn nothing_renders_to_nothing() {
        assert_eq!(render(String::new()), "");
    }
}
