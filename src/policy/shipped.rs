//! The policies that come with the program.

/// File name and text of every policy file in `config/policies/`, in the order of their names.
pub const SHIPPED: [(&str, &str); 6] = [
    ("10-onvif-default-access.cedar", include_str!("../../config/policies/10-onvif-default-access.cedar")),
    ("15-clients.cedar", include_str!("../../config/policies/15-clients.cedar")),
    ("20-gateway.cedar", include_str!("../../config/policies/20-gateway.cedar")),
    ("30-restricted-vendors.cedar", include_str!("../../config/policies/30-restricted-vendors.cedar")),
    ("40-appliance.cedar", include_str!("../../config/policies/40-appliance.cedar")),
    ("50-sites.cedar", include_str!("../../config/policies/50-sites.cedar")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_shipped() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policies");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .filter(|it| it.ends_with(".cedar"))
            .collect();
        names.sort();
        assert_eq!(names, SHIPPED.map(|(name, _)| name));
    }
}
