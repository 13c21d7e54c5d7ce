//! The tour: builds a guest, and maps it over the Markdown files of this repository.

use sandpool::Pool;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let root = sandpool_examples::repository();
    let module = sandpool_examples::build_guest("guest-markdown")?;
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let pool = Pool::new(module)?;
    let start = Instant::now();
    let (mut markdown, mut html) = (0, 0);
    let texts: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let sizes: Vec<usize> = texts.iter().map(String::len).collect();
    let pages = pool.imap::<_, String>("render", texts)?;
    for ((page, path), size) in pages.zip(&files).zip(sizes) {
        let page = page?;
        let name = path.strip_prefix(&root)?;
        let target = root.join("target/demo").join(name).with_extension("html");
        fs::create_dir_all(target.parent().unwrap_or(&root))?;
        fs::write(&target, &page)?;
        println!("{:40} {size:7} bytes of Markdown, {:7} of HTML", name.display(), page.len());
        markdown += size;
        html += page.len();
    }
    println!(
        "{} files, {markdown} bytes in, {html} bytes out, {} sandboxed workers, {:.1} ms; \
         the pages are in target/demo",
        files.len(),
        pool.processes(),
        start.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

/// The Markdown files below a directory, except in hidden ones and what cargo builds.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // A link is neither a directory nor a file here: what it leads to is found on its own.
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            collect(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "md") {
            files.push(path);
        }
    }
    Ok(())
}
