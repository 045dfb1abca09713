//! The same binaries give the same packages, in any output directory.

use std::fs;

use crate::packages::Packages;

#[test]
fn packages_made_twice_are_equal_byte_for_byte() {
    let [one, other] = [(); 2].map(|()| Packages::make(&[]));
    println!("{}", one.said);
    let names = |packages: &Packages| {
        let files = packages.files().into_iter();
        files
            .map(|file| file.file_name().expect("a file has a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&one).len(), 3);
    assert_eq!(names(&one), names(&other));
    for (file, twin) in one.files().iter().zip(other.files()) {
        assert!(
            fs::read(file).expect("it was made") == fs::read(&twin).expect("it was made"),
            "{} differs from {}",
            file.display(),
            twin.display()
        );
    }
}
