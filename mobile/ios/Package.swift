// swift-tools-version:5.5

import PackageDescription

let package = Package(
  name: "tauri-plugin-neartalk-mobile",
  platforms: [.iOS(.v14)],
  products: [
    .library(
      name: "tauri-plugin-neartalk-mobile",
      type: .static,
      targets: ["tauri-plugin-neartalk-mobile"])
  ],
  dependencies: [.package(name: "Tauri", path: "../.tauri/tauri-api")],
  targets: [
    .target(
      name: "tauri-plugin-neartalk-mobile",
      dependencies: [.byName(name: "Tauri")],
      path: "Sources")
  ]
)
