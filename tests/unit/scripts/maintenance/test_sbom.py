from scripts.maintenance.sbom import debian_components, document, python_components


def test_debian_packages_are_named_as_package_urls_are():
    (component,) = debian_components("libstdc++6\t12.2.0-14+deb12u1\tamd64\n")
    assert component["purl"] == "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64"


def test_python_packages_have_their_licences():
    old = "Name: numpy\nVersion: 2.0\nClassifier: License :: OSI Approved :: BSD License\n\ntext"
    new = "Name: Prometheus_Client\nVersion: 1.0\nLicense-Expression: Apache-2.0\n\n"
    first, second = python_components([old, new])
    assert first["licenses"] == [{"license": {"name": "BSD License"}}]
    assert (second["purl"], second["licenses"]) == ("pkg:pypi/prometheus-client@1.0", [{"expression": "Apache-2.0"}])


def test_the_document_is_sorted_and_names_its_image():
    found = document("image:tag", "sha256:00", [{"purl": "b"}, {"purl": "a"}])
    assert [component["purl"] for component in found["components"]] == ["a", "b"]
    assert found["metadata"]["component"]["version"] == "sha256:00"
